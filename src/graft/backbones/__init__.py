"""Pretrained models: records, loading, heads, engines, and the cache of what the frozen model said."""
