"""What every stage saw and found, as pictures on one page; nothing is drawn unless somebody asks."""
