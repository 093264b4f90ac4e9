"""The stock monitor that runs in the store: shelf cameras in, MQTT events out."""

__version__ = "0.1.0"
