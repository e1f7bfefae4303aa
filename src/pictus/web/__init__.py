"""The pages of a project: server-rendered, no build step, nothing loaded from outside."""
