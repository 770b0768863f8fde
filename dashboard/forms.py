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
from catalog.guidelines import GUIDELINES_LENGTH
from catalog.jobs import PRIORITIES
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


class TokenForm(Form):
    name = StringField(
        "Name",
        [DataRequired("Give the token a name."), Length(max=TOKEN_NAME_LENGTH)],
        description="What will use it, such as the name of a script.",
    )
    scope = SelectField("Scope", choices=SCOPES)
    days = SelectField("Good for", choices=TOKEN_DAYS, coerce=int, default=90)
