"""Pure logic: given records, returns records. No input or output, no clock, no environment."""
