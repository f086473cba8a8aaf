"""Every word that is a value in a table, a key of a result or a purpose of random numbers, once.

Who writes such a word and who looks for it both take it from here, so that neither can misspell it and a search for the
name finds all who use it. docs/glossary.md says what the words mean.
"""

# What a layer can do with a token; to repeat is to run the whole layer twice.
SMALL, BIG, SKIP, REPEAT = "small", "big", "skip", "repeat"
# Routes with a name of their own, and routes drawn by chance.
ALL_BIG, ALL_SMALL, RANDOM = "all_big", "all_small", "random"

# For whom a route is chosen: the best of every token, of all tokens of a document, of all of a domain; and no choice.
ORACLE, SEQUENCE, FIXED, MEAN = "oracle", "sequence", "fixed", "mean"
# The best of some routes drawn by chance, for all tokens alike or for each token anew.
RANDOM_ALL, RANDOM_TOKEN = "random_all", "random_token"
# How a budget of big layers is met: by every token, or by their mean.
EXACT, AVERAGE = "exact", "average"

# What the other tokens of a sequence do while one token's routes are tried.
SHARED, REFERENCE, GREEDY = "shared", "reference", "greedy"
# Loss of a chosen route where it was tried, and where all chosen routes run together.
ISOLATED, JOINT = "isolated", "joint"

# Labels of the text, labels sampled from a model's predictions, the first less the second; less selection bias.
TRUE, SAMPLED, DIFFERENCE, CORRECTED = "true", "sampled", "difference", "corrected"
MATCHED, EXCESS, PLACEBO = "matched", "excess", "placebo"
# What routers learn from, beside the losses of true labels: those that a teacher expects, and those of other tokens.
EXPECTED, SHUFFLED = "expected", "shuffled"
# Choosers that don't see the label, by whose prediction they choose: the model's own, the mean of all other models, and
# the stack of all choosers.
OWN, OTHERS, STACK = "own", "others", "stack"

# How a router of the paper is scored, beside EXACT: its likeliest choices, or the mix of all.
HARD, SOFT = "hard", "soft"
# Beside them: the oracle, its budget held on average over a sequence.
ORACLE_AVERAGE = "oracle_average"
# Policies that look losses up, the bound of the teachers, the paper's routers; and what has no input or network.
TOKEN_TABLE, NEIGHBOURS, CEILING, PAPER, NONE = "token_table", "neighbours", "ceiling", "paper", "none"
# What policies that learn from the losses of all routes are trained for.
EXPECTED_LOSS, VALUE, DISTILLATION, STRAIGHT_THROUGH = "expected_loss", "value", "distillation", "straight_through"
# Choosers beside which policies are shown; the first teacher is CEILING there.
CHOOSERS = (OWN, OTHERS, STACK)
# Roles of a policy, with CEILING and PAPER: its choice for a token was learned from the losses of all routes, it is a
# baseline that looks at no token, or a chooser's, by a prediction of the label.
LEARNED, BASELINE, CHOOSER = "learned", "baseline", "chooser"

# What can be named without a module, since duo has it: strategies, routers that learn from the losses of all routes,
# and their baselines.
STRATEGIES = (ORACLE, SEQUENCE, RANDOM_TOKEN, MEAN)
ROUTERS = (EXPECTED_LOSS, VALUE, DISTILLATION, STRAIGHT_THROUGH)
BASELINES = (FIXED, TOKEN_TABLE, NEIGHBOURS, RANDOM)

# What varies along a line of the trend over scale: training tokens, width, layers, inner width of the big FFN over that
# of the small one, entries of the tokenizer.
TOKENS, WIDTH, LAYERS, RATIO, VOCABULARY = "tokens", "width", "layers", "ratio", "vocabulary"
# The share of the layers that are big where the trend is drawn.
TREND_SHARE = 0.5
