"""Conditions of a model beside its noise."""
