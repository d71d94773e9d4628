"""Stages of a recipe: each reads what the stages before it wrote, and resumes where it stopped."""
