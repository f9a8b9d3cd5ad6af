"""Jobs (后台任务): work done later, enqueued with the change that asks for it, on taskiq over a table of our own."""
