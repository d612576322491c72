"""Datasets in their original layouts, as typed samples; each can write a tiny fake of itself."""
