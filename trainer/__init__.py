"""The trainer: from a recipe and pictures to a bundle that the daemon can open."""
