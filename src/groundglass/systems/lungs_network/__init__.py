"""The lung network: a small U-Net for lungs that opacity makes as dense as the chest wall."""
