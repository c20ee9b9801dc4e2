"""One command each; every benchmark prints ratios against peers measured in the same run, and asserts nothing."""
