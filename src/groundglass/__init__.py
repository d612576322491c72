"""groundglass reads a chest CT: how much of the lung is ill, where, and how badly."""

from __future__ import annotations
