"""Drawing the slots: pictures to draw on, what is proposed, how slots score, how they are saved."""
