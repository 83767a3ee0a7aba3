"""Gaps of the ledger: found, read from Genesys, filled.

filler       claims a gap, reads it, closes it
plan         the queries that find its conversations (pure)
listing      the pages of a query, and whether they are all
reading      one reading of a gap; unread: what it could not read, and why (pure)
withheld     whether what REST refuses or has forgotten counts as read from analytics (pure)
marks        conversations of a gap that have been read; unfinished: those that the tracker knows
"""
