"""Ratios that say how fast Recaption is, each measured in turns with what it is compared with."""
