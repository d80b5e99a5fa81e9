"""What `make bench` runs: this project side by side with what it stands in for."""
