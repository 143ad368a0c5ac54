"""Disks in trouble: full, over quota, frozen, read-only, gone."""
