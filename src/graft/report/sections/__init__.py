"""What the report's sections show: one file a section, each from facts to plain values that a template lays out."""
