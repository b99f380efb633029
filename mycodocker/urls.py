"""Addresses: the API, the console, the two health answers."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("", include("containers_app.api.urls")),
    path("admin/", admin.site.urls),
]
handler404 = "containers_app.api.problems.page_not_found"
handler500 = "containers_app.api.problems.server_error"
