"""What goes wrong with examples in use: pictures, texts and recordings made worse, by severity 1 to 5."""
