"""Conversations that stay active too long: verified with Genesys, finalized if they are over.

sweep        claims overdue conversations, asks Genesys, acts
verdict      the meaning of the answers, and their events (pure)
doubt        answers that are not believed yet (pure)
held         partitions that take no events
"""
