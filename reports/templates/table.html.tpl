{# pandas' own table, with scopes on the headers, a row's axes as its headers, and no empty header.
   The values come escaped from reports/tables.py: pandas renders this without autoescape. #}
{% extends "html_table.tpl" %}
{% block head_tr %}
    <tr>
{% for cell in r %}{% if cell.is_visible %}
{% set kind = body[0][loop.index0].class.split()[-1] %}
{% if not cell.display_value %}
      <td {{ cell.attributes }}></td>
{% elif "colspan" in cell.attributes %}
      <th scope="colgroup" {{ cell.attributes }}>{{ cell.display_value }}</th>
{% else %}
      <th scope="col" class="{{ kind }}">{{ cell.display_value }}</th>
{% endif %}
{% endif %}{% endfor %}
    </tr>
{% endblock %}
{% block tr %}
    <tr>
{% for cell in r %}{% if cell.is_visible %}
{% set kind = cell.class.split()[-1] %}
{% set stale = "stale " if "stale" in cell.class.split() else "" %}
{% if kind == "axis" %}
      <th scope="row" class="axis">{{ cell.display_value }}</th>
{% else %}
      <td class="{{ stale }}{{ kind }}">{{ cell.display_value }}</td>
{% endif %}
{% endif %}{% endfor %}
    </tr>
{% endblock %}
