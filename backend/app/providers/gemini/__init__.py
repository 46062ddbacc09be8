"""Google's Gemini: it writes, draws and speaks, by either of Google's two SDKs."""
