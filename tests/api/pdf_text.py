"""The text of the PDF on standard input, as pypdf reads it."""

import io
import sys

import pypdf

document = pypdf.PdfReader(io.BytesIO(sys.stdin.buffer.read()), strict=True)
sys.stdout.buffer.write("\n".join(page.extract_text() for page in document.pages).encode())
