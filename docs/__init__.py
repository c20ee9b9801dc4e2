"""Documentation, and the script that writes the pages that come from the code."""
