"""groundglass: how much of the lung is ill, where, how badly, with the evidence for every number."""

from __future__ import annotations
