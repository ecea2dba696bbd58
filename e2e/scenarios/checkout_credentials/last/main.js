// Only its post counts.
