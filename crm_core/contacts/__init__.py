"""Contacts (联系人): the people behind a customer, and how well the company knows them."""
