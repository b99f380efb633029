"""The ledger's tables; they live in the ledger's own database only."""
