"""A STAND-IN for Spark's operators and the SDK's methods, for tests only: no money, no network.

It answers with the package's own types and error classes, and imitates what was seen of the real
package offline: its sync that swallows errors, its storage that knows less than the operators.
"""
