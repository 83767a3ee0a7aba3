"""Conversations that stay active too long: verified with Genesys, finalised if they are over.

sweep        claims what is overdue, asks, acts
verdict      what the answers mean, and which events say so (pure)
doubt        when answers are not believed (pure)
"""
