"""The forms of the pages. CSRF is checked for all of them, here and in `dashboard.security`."""

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    HiddenField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange

from catalog.accounts import NAME_LENGTH, PASSWORD_LENGTH
from catalog.errors import InvalidInput
from catalog.freezing import NAME_LENGTH as DATASET_NAME_LENGTH
from catalog.gate import FEWEST
from catalog.golden_sets import MOST_PHOTOS, MOST_REFERENCES
from catalog.guidelines import GUIDELINES_LENGTH
from catalog.jobs import PRIORITIES
from catalog.promotions import REASON_LENGTH
from catalog.schema import Role, Scope
from catalog.tokens import NAME_LENGTH as TOKEN_NAME_LENGTH

JOB_MODES = [
    SelectChoice("fill", "Photos without a caption"),
    SelectChoice("add", "Every photo, as another candidate"),
    SelectChoice("replace", "Every photo whose caption nobody has touched"),
]
ROLES = [SelectChoice(role.value) for role in (Role.REVIEWER, Role.ADMIN)]

SCOPES = [
    SelectChoice(Scope.READ.value, "Read what you may see"),
    SelectChoice(Scope.WRITE.value, "Read, and change what you may change"),
]
TOKEN_DAYS = [SelectChoice(30, "30 days"), SelectChoice(90, "90 days"), SelectChoice(365, "A year")]


class Form(FlaskForm):
    """A form whose faults are errors like any other."""

    def require_valid(self) -> None:
        """Raise InvalidInput, with every fault, unless the submitted form can be used."""
        if not self.validate_on_submit():
            raise InvalidInput(" ".join(fault for faults in self.errors.values() for fault in faults))


class CollectionForm(Form):
    name = StringField("Name", [DataRequired("Give the collection a name."), Length(max=255)])
    guidelines = TextAreaField("Guidelines for reviewers", [Length(max=20_000)])


class GuidelinesForm(Form):
    guidelines = TextAreaField(
        "Guidelines for reviewers",
        [Length(max=GUIDELINES_LENGTH)],
        description="What a good caption of this collection says, and what it leaves out.",
    )
    avoid = TextAreaField(
        "Words to avoid",
        description="A word or a few words a line. Reviewers see a hint when a caption has one of them.",
    )
    seen = HiddenField()


class CaptionJobForm(Form):
    mode = RadioField("What to caption", choices=JOB_MODES, default="fill")


class PriorityForm(Form):
    priority = IntegerField(
        "Priority",
        [InputRequired("Give a whole number."), NumberRange(*PRIORITIES, "Give a number from -100 to 100.")],
    )


class SkipForm(Form):
    confirmed = BooleanField("Delete what people wrote and decided too")


class MemberForm(Form):
    name = StringField("Name", [DataRequired("Enter the name of a user.")])


class UserForm(Form):
    name = StringField("Name", [DataRequired("Give the user a name."), Length(max=NAME_LENGTH)])
    role = SelectField("Role", choices=ROLES)
    password = PasswordField(
        "Password",
        [DataRequired("Choose a password.")],
        description=f"At least {PASSWORD_LENGTH} characters.",
    )


class ActiveForm(Form):
    active = BooleanField("May log in")


class GoldenSetForm(Form):
    name = StringField(
        "Name",
        [DataRequired("Give the golden set a name."), Length(max=DATASET_NAME_LENGTH)],
        description="The dataset that comes of it goes by this name.",
    )
    size = IntegerField(
        "Photos",
        [
            InputRequired("Give a whole number of photos."),
            NumberRange(1, MOST_PHOTOS, f"Draw at least one photo, and {MOST_PHOTOS:,} at most."),
        ],
        default=FEWEST,
        description=f"With less than {FEWEST}, no checkpoint can be told to be better than another.",
    )
    references_each = IntegerField(
        "Captions each",
        [
            InputRequired("Give a whole number of captions."),
            NumberRange(1, MOST_REFERENCES, f"Give a number from 1 to {MOST_REFERENCES}."),
        ],
        default=1,
        description="Each by another person.",
    )
    language = StringField(
        "Language",
        [DataRequired("Give a language, such as en.")],
        default="en",
        description="Such as en or pt-BR.",
    )


class TokenForm(Form):
    name = StringField(
        "Name",
        [DataRequired("Give the token a name."), Length(max=TOKEN_NAME_LENGTH)],
        description="What will use it, such as the name of a script.",
    )
    scope = SelectField("Scope", choices=SCOPES)
    days = SelectField("Good for", choices=TOKEN_DAYS, coerce=int, default=90)


class PromotionForm(Form):
    reason = TextAreaField(
        "Reason",
        [Length(max=REASON_LENGTH)],
        description="The gate does not call it better, so say why you promote it all the same.",
    )


class RetrainingForm(Form):
    start = SelectField("Start from")
    # What a dataset has captions in is asked of the catalog.
    language = SelectField(
        "Language to learn",
        validate_choice=False,
        description="A checkpoint writes one language. Captions in the others are left out.",
    )
    replay = IntegerField(
        "Replay share, in percent",
        [InputRequired("Give a whole number."), NumberRange(0, 95, "Give a share from 0 to 95.")],
        default=75,
    )
    seed = IntegerField(
        "Seed",
        [InputRequired("Give a whole number."), NumberRange(0, 2**31 - 1, "Give a number from 0 on.")],
        default=1,
        description="The same seed and data give the same checkpoint on the same processor.",
    )
    promote = BooleanField("Promote it by itself if it is measurably better")
