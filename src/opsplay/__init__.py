"""opsplay: maintain PrestaShop, WordPress and Joomla sites without fear."""

__version__ = "0.1.0"
