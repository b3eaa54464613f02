"""Parts of validation: tables, statistics, baseline, suite, Data Docs."""
