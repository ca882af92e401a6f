"""Recipes that turn published weights into the files that the services load; run in a process of their own."""
