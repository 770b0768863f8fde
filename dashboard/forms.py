"""The forms of the pages. CSRF is checked for all of them, here and in `dashboard.security`."""

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    PasswordField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import DataRequired, Length

from catalog.accounts import NAME_LENGTH, PASSWORD_LENGTH
from catalog.errors import InvalidInput
from catalog.schema import Role

JOB_MODES = [
    SelectChoice("fill", "Photos without a caption"),
    SelectChoice("add", "Every photo, as another candidate"),
    SelectChoice("replace", "Every photo whose caption nobody has touched"),
]
ROLES = [SelectChoice(role.value) for role in (Role.REVIEWER, Role.ADMIN)]


class Form(FlaskForm):
    """A form whose faults are errors like any other."""

    def require_valid(self) -> None:
        """Raise InvalidInput, with every fault, unless the submitted form can be used."""
        if not self.validate_on_submit():
            raise InvalidInput(" ".join(fault for faults in self.errors.values() for fault in faults))


class CollectionForm(Form):
    name = StringField("Name", [DataRequired("Give the collection a name."), Length(max=255)])
    guidelines = TextAreaField("Guidelines for reviewers", [Length(max=20_000)])


class CaptionJobForm(Form):
    mode = RadioField("What to caption", choices=JOB_MODES, default="fill")


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
