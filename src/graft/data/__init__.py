"""Readers, decoding, duplicates and splitting: from files and tables to labelled examples. Imports core only."""
