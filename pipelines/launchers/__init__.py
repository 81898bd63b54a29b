"""The launchers, one file each: settings, and how they start a training. Helper modules are in pipelines.launching."""
