{# pandas' own table, with scopes on the headers, a row's axes as its headers, no empty header, and
   numbers to sort by. The values come escaped from reports/tables/table.py: pandas renders this without
   autoescape. A header's value is its column's number, or its group's text. #}
{% extends "html_table.tpl" %}
{% block head_tr %}
    <tr>
{% for cell in r %}{% if cell.is_visible %}
{% if cell.value is string %}
{% if cell.display_value %}
      <th scope="colgroup" {{ cell.attributes }}>{{ cell.display_value }}</th>
{% else %}
      <td {{ cell.attributes }}></td>
{% endif %}
{% else %}
      <th scope="col" class="{{ kinds[cell.value] }}">{{ cell.display_value }}</th>
{% endif %}
{% endif %}{% endfor %}
    </tr>
{% endblock %}
{% block tr %}
    <tr>
{% for cell in r if cell.is_visible %}
{% set kind = kinds[loop.index0] %}
{% set marked = cell.value.emphasis ~ " " if cell.value.emphasis in ("grey", "stale") else "" %}
{% set key = cell.value.sort_key if kind in ("axis", "number") else "" %}
{% set sort = ' data-sort="' ~ key ~ '"' if key else "" %}
{% if kind == "axis" %}
      <th scope="row" class="axis"{{ sort }}>{{ cell.display_value }}</th>
{% else %}
      <td class="{{ marked }}{{ kind }}"{{ sort }}>{{ cell.display_value }}</td>
{% endif %}
{% endfor %}
    </tr>
{% endblock %}
