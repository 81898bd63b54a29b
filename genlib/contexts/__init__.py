"""Contexts, the conditions of single images: how they are made, kept, read, shown and served."""
