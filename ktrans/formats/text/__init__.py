"""Text formats: values and rows as text, by columns."""
