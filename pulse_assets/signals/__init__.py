"""What sources say, and what of it may be believed: bronze rows, quarantine, and silver series with vintages."""
