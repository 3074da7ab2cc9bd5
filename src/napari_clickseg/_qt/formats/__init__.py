"""The Files widget, and the commands of the plugin's menu."""
