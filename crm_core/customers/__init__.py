"""Customers (客户): one shared identity per person or organisation, and what each business line knows of it."""
