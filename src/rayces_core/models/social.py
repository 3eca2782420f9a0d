"""Post and Like: the small social network that the platform grew out of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rayces_core.fields import TextField
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class Post(TimestampedTenantModel):
    """What a user published."""

    user = TenantForeignKey(User, backref="posts", on_delete="CASCADE")
    user_id: int
    content = TextField(null=True)

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        likes: TenantSelect[Any]

    class Meta:
        """The table."""

        table_name = "posts"
        personal = {"words": "content"}
        merging = {"moved": "user_id"}
        erased_with = "user_id"
        defaults_in_database = True


class Like(TimestampedTenantModel):
    """One user's approval of one post; there is at most one."""

    user = TenantForeignKey(User, backref="likes", on_delete="CASCADE")
    user_id: int
    post = TenantForeignKey(Post, backref="likes", on_delete="CASCADE")
    post_id: int

    class Meta:
        """The table."""

        table_name = "likes"
        merging = {"moved": "user_id"}
        erased_with = "user_id"
        defaults_in_database = True


Like.add_index(Like.organization, Like.user, Like.post, unique=True, name="likes_organization_id_user_id_post_id_key")
