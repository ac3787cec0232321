"""The Spark wallet's custody process: one seed, one storage folder, one local socket."""

from __future__ import annotations

# What the executor and this process must agree on; a change of meaning raises it.
PROTOCOL = 1

# The published package and the one version that this code was written against.
PACKAGE = "breez-sdk-spark"
PACKAGE_VERSION = "0.27.2"

# The rendezvous file is `<folder>/spark.json`.
SERVICE = "spark"
