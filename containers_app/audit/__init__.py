"""The ledger: what was asked, by whom, and how it ended, in a form an auditor can check."""
