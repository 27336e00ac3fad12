"""How does what a real app received become a scenario? ``ringback record`` writes recordings; a replay reads them."""
