-- What decides whether a commit outlasts a crash.
SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')
