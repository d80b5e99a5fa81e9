"""What the numbers of a study say: spread, tests, intervals, and the answer in words."""
