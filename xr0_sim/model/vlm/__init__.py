"""The vision-language model: prompt, pictures, forward pass and key-value cache."""
