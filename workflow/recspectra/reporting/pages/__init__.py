"""The pages of the report: what each shows, as data for its template in `workflow/report/`."""
